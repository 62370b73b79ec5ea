"""One update: the LightningModule, the optimizer, gradients and precision."""
