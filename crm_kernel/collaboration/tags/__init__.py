"""Tags on records of any type: words people choose, to find and to group by."""
