"""What does it take to make the model do what it should refuse? Red teaming."""
