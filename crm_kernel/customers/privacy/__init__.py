"""What a person may ask of us: to see everything that is stored, and to have it erased; and how long it is kept."""
