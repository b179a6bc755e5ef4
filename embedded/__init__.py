"""The embedded model: how the small LLaVA in assets/model is made and measured.

A closed toy world (``world``), questions about it (``questions``), a LLaVA of ordinary
transformers classes (``model``), its training on two CPU cores (``train``) and the table that
says what it can and cannot do (``evaluate``). Nothing here runs when the lab runs; the lab
only loads the weights, and borrows scenes and questions to measure token reduction.
"""
