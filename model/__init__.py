"""The mathematics: vocabulary learning, the encoder, its training and its measurement."""
