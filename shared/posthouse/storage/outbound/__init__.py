"""Mail that leaves: who may send how much, what was sent, who is paused."""
