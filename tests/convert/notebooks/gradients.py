"""How far a disease will go, by boosted trees of XGBoost."""

import xgboost as xgb
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

diabetes = load_diabetes(as_frame=True)
X = diabetes.data[["age", "bmi", "bp", "s5"]]
y = diabetes.target
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=1)
model = xgb.XGBRegressor(n_estimators=20, max_depth=3, random_state=0, n_jobs=1)
model.fit(X_train, y_train)
print(model.predict(X_test)[:3])
