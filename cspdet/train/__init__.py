"""Training: losses, augmentation, schedules, checkpoints."""
