"""Which sizes go through the network, worked out without it: so that a mistake is seen before torch is imported."""


def check_sizes(convolutions: int, kernel_size: int, padding: int | str, image_size: int) -> None:
    """Follow the side of a square image through convolutions and 2×2 poolings.

    Raises:
        ValueError: it does not fit a layer; the message names it and the sizes.
    """
    size = image_size
    for layer in range(1, convolutions + 1):
        margin = padding if isinstance(padding, int) else (kernel_size - 1 if padding == "same" else 0) / 2
        padded = int(size + 2 * margin)
        if kernel_size > padded:
            raise ValueError(
                f"convolution {layer}: kernel_size={kernel_size} is larger than the {size}×{size} image that reaches "
                f"it (with padding={padding!r}: {padded}×{padded}); a smaller kernel, or padding='same', helps"
            )
        size = padded - kernel_size + 1
        if size < 2:
            raise ValueError(
                f"pooling {layer}: its 2×2 window is larger than the {size}×{size} that convolution {layer} leaves "
                f"(kernel_size={kernel_size}, padding={padding!r}); a smaller kernel, or padding='same', helps"
            )
        size //= 2
