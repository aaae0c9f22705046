use super::Report;

fn shown(report: Result<Report, model::Error>) -> String {
    match report {
        Ok(report) => {
            let bytes = report.to_bytes();
            assert_eq!(Report::from_bytes(&bytes).unwrap(), report);
            String::from_utf8(bytes).unwrap()
        }
        Err(error) => format!("400 {}", error.extensions["reason"].as_str().unwrap()),
    }
}

fn tree(text: &str) -> String {
    shown(Report::tree(text))
}

fn window(text: &str) -> String {
    shown(Report::window(text))
}

#[test]
fn trees_are_read() {
    insta::assert_snapshot!(tree("parent=parent"), @r#"{"tree":{"parent":"parent","depth":10,"nodes":1000,"shape":"nested","query":{}}}"#);
    insta::assert_snapshot!(tree("parent=up&depth=3&root=a%2Fb&shape=flat&limit=-1&fields=id&sort=-id&filter[a]=1"), @r#"{"tree":{"parent":"up","root":"a/b","depth":3,"nodes":10000,"shape":"flat","query":{"fields":["id"],"filter":{"compare":{"field":"a","operator":"_eq","value":"1"}},"sort":[{"field":"id","descending":true}]}}}"#);
    insta::assert_snapshot!(tree("depth=3"), @r#"400 "parent" is required"#);
    insta::assert_snapshot!(tree("parent=a&parent=b"), @r#"400 "parent" must be one text"#);
    insta::assert_snapshot!(tree("parent=a&depth=0"), @r#"400 "depth" must be a number from 1 to 50"#);
    insta::assert_snapshot!(tree("parent=a&depth=-1"), @r#"400 "depth" must be a number from 1 to 50"#);
    insta::assert_snapshot!(tree("parent=a&depth=x"), @r#"400 "depth" must be a number"#);
    insta::assert_snapshot!(tree("parent=a&limit=10001"), @r#"400 "limit" must be a number from 1 to 10000"#);
    insta::assert_snapshot!(tree("parent=a&shape=round"), @r#"400 "shape" must be one of [nested, flat]"#);
    for strange in
        ["page=1", "offset=1", "cursor=x", "meta=*", "aggregate[count]=*", "groupBy=a", "export=csv"]
    {
        assert!(tree(&format!("parent=a&{strange}")).ends_with("means nothing in this report"), "{strange}");
    }
}

#[test]
fn windows_are_read() {
    insta::assert_snapshot!(window("compute=running_sum(a),moving_avg(a,7),rank&order=-at"), @r#"{"window":{"compute":[{"figure":"running_sum","field":"a"},{"figure":"moving_avg","field":"a","count":7},{"figure":"rank"}],"partition":[],"order":[{"field":"at","descending":true}],"query":{}}}"#);
    insta::assert_snapshot!(window("compute[]=lag(a)&compute[]=difference(a, 2),ntile(4),rank,rank&order=at&partition=b,year(at)&limit=5&page=2&meta=*"), @r#"{"window":{"compute":[{"figure":"lag","field":"a"},{"figure":"difference","field":"a","count":2},{"figure":"ntile","count":4},{"figure":"rank"}],"partition":["b","year(at)"],"order":[{"field":"at"}],"query":{"limit":5,"page":2,"meta":{"total_count":true,"filter_count":true}}}}"#);
    insta::assert_snapshot!(window("order=a"), @r#"400 "compute" is required"#);
    insta::assert_snapshot!(window("compute=rank"), @r#"400 "order" is required"#);
    insta::assert_snapshot!(window("compute=rank&order=-"), @r#"400 "order" must be a list of names"#);
    insta::assert_snapshot!(window("compute=median(a)&order=a"), @r#"400 "median(a)" is not a figure of a window"#);
    insta::assert_snapshot!(window("compute=rank(a)&order=a"), @r#"400 "rank(a)" is not a figure of a window"#);
    insta::assert_snapshot!(window("compute=moving_avg(a)&order=a"), @r#"400 "moving_avg(a)" is not a figure of a window"#);
    insta::assert_snapshot!(window("compute=moving_avg(a,0)&order=a"), @r#"400 "moving_avg" takes a number from 1 to 1000"#);
    insta::assert_snapshot!(window("compute=lag(a,1);x&order=a"), @r#"400 "lag(a,1);x" is not a figure of a window"#);
    insta::assert_snapshot!(window("compute=rank&order=a&limit=-1"), @r#"400 "limit" must be a number from 0 to 10000"#);
    insta::assert_snapshot!(window("compute=rank&order=a&cursor=x"), @r#"400 "cursor" means nothing in this report"#);
}

#[test]
fn bytes_are_held_to_the_same_bounds() {
    let tree = r#"{"tree":{"parent":"a","depth":50,"nodes":10,"shape":"flat"}}"#;
    let window =
        r#"{"window":{"compute":[{"figure":"moving_sum","field":"a","count":2}],"order":[{"field":"a"}]}}"#;
    let read = |text: &str| Report::from_bytes(text.as_bytes());
    assert!(read(tree).is_ok() && read(window).is_ok());
    for (from, to) in [("50", "51"), ("50", "0"), ("10", "10001"), ("tree", "bush")] {
        assert!(read(&tree.replace(from, to)).is_err(), "{to}");
    }
    for (from, to) in [
        ("\"count\":2", "\"count\":0"),
        ("\"count\":2", "\"count\":1001"),
        (",\"count\":2", ""),
        ("\"field\":\"a\",", ""),
        ("moving_sum", "rank"),
        ("moving_sum", "ntile"),
        ("[{\"field\":\"a\"}]", "[]"),
        ("]}}", "],\"query\":{\"limit\":-1}}}"),
    ] {
        assert!(read(&window.replacen(from, to, 1)).is_err(), "{from} {to}");
    }
}

#[test]
fn names_of_figures() {
    let Ok(Report::Window(report)) = Report::window("compute=rank,lag(a),moving_sum(a,3)&order=a") else {
        unreachable!("it is a window")
    };
    let names: Vec<String> = report.compute.iter().map(super::Compute::name).collect();
    assert_eq!(names, ["rank", "lag_a", "moving_sum_a_3"]);
}
