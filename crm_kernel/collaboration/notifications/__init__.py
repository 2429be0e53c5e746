"""What users are told: in the application, live where there is a live process, and by mail in digests."""
