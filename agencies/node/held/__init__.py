"""What a received message ties this agency to, and the only ways to look at it, pass it on and end it."""
