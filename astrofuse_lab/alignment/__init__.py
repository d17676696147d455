"""Pure kernels that bring products to a common grid: data and validity mask in, data and validity mask out."""
