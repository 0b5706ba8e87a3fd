"""What the program is for, as it flows: to speak, to listen, and both. Flows are handed ports and import no edge."""
