"""Other programs' files to annotation sets, and back: python scripts/convert.py inspect FILE"""

from diffjax import config
from diffjax.convert import commands

if __name__ == "__main__":
    config.run_main(lambda: commands.main(str(__doc__)))
