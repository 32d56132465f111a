"""Mail that people get: what is to be sent, kept until it is, and how it is sent."""
