"""Model quality: metrics of predictions against labels, their intervals, and estimates before labels."""
