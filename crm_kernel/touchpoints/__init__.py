"""Touch points: every contact with a customer in any channel, and the timeline they make."""
