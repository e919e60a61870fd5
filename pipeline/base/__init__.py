"""What every stage needs; knows neither videos nor networks."""
