"""Invitations: somebody is asked by mail to become a user, and chooses name and password himself.

The link is sealed with the instance's key, names a row and the number of its sending: a new sending, a withdrawal, the
acceptance and a week each end it.
"""
