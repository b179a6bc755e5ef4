"""python -m tokviz: see tokviz.cli.main."""

import sys

from tokviz.cli.main import main

sys.exit(main())
