"""The configuration: text of an INI to frozen, checked values, and what they mean in words."""
