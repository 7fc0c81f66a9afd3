"""What the gateway answers by itself: files, redirects, fixed texts and errors."""
