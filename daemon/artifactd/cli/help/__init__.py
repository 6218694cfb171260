"""What the help of the commands says, and the manual that is made of it."""
