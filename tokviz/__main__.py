"""python -m tokviz: see tokviz.cli.main."""

import sys

from tokviz.extras import lacking

try:
    from tokviz.cli.main import main
except KeyboardInterrupt:
    sys.stderr.write("\ntokviz: stopped.\n")
    sys.exit(130)
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("tokviz"):
        raise
    sys.stderr.write(f"tokviz: {lacking(error.name)}\n")
    sys.exit(2)

sys.exit(main())
