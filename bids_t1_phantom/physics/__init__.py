"""What magnetisation does: pulses, waiting and echoes, stepped one by one."""
