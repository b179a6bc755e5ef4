"""Ask: the picture, the question, stored examples, and opening what is stored."""
