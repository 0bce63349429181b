"""The classic first CNN on MNIST with PyTorch Lightning and Hydra. Start reading at train.py."""
