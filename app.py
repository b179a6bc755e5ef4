"""Open the page: python app.py, or `tokviz` where the package is installed."""

from components.server.launch import main

if __name__ == "__main__":
    main()
