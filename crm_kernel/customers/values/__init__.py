"""Values of customers in their normal form: phones, e-mails, web addresses, identifiers, names, contact states.

Pure functions on strings: no database, no network, no Flask. What users type goes in, one form to store and to match
comes out, or a ``ValueProblem`` that can be translated. Each function is found in the module named after its value.
"""
