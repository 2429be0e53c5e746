"""Saved views: a list as somebody wants to find it again, for himself, his team or everybody.

A view holds what a list's address holds (conditions, words, sort) and the columns; opening one asks the list anew, with
the reader's own permissions. It widens nobody's reach, and one that names what is gone says so instead of failing.
"""
