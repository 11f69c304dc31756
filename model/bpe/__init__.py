"""Byte pair encoding: the reference on one page, the fast learner, the tokenizer they define."""
