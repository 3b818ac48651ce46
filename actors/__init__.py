"""The five actors, one room each; none imports another."""
