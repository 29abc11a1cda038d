"""What the durability tests share: a model of a lake's life, and child programs to kill."""
