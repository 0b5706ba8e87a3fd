"""Loudspeakers and microphones: the sound card behind the ports, and where the audio server is found."""
