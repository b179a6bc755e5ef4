"""tokviz: which visual tokens does a vision-language model really use?"""

__version__ = "0.1.0"
