"""What does looking cost, and how quick is the page? `make bench` prints one table."""
