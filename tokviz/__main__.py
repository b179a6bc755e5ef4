"""python -m tokviz: see tokviz.cli."""

import sys

from tokviz.cli import main

sys.exit(main())
