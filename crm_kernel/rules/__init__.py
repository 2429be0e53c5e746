"""Automation rules: when <event or time> and <filter tree over the record it is about> do <actions that modules offer>.

A rule runs after the commit of what it follows, in a unit of work of its own, with the rights of whoever last changed or
enabled it. Whatever it did, or why it did nothing, stands in its run log. See docs/explanation/rules.md.
"""
