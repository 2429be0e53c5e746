"""Which columns of any module, also of a disabled or uninstalled one, point at a customer or hold personal data."""
