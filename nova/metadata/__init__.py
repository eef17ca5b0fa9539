"""What an instance is told about itself, as documents; pure. The configuration drive carries them
and the metadata service answers with them, so that both say the same."""
