"""What a plugin's tests are made of: fixtures, factories, fake distributions and the conformance kit.

``pytest_plugin`` is found by pytest itself (entry point); everything else is imported where it is used, so that a test
suite which has nothing to do with the CRM pays nothing for it.
"""
