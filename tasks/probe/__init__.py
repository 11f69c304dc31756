"""The probe stage: what each layer and each head of the encoder knows."""
