"""Visual tokens between the tower and the language model: who decides, what arrives."""
