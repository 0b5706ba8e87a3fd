"""What a machine holds for all processes of its user: the floor, files and their places, the terminal."""
