"""What an editor asks about cfg text: what is here, what could stand here, where is what this names."""
