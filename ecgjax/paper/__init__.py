"""A page with an ECG, the whole way: digitised, put right, diagnosed, told; and what paper costs."""
